import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AesSeal } from "./aes-seal.ts";

const [OLD, NEW] = [randomBytes(32), randomBytes(32)];

describe("AesSeal", () => {
  it("opens what it sealed, whatever the text", () => {
    const seal = new AesSeal([NEW]);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(seal.open(seal.seal(text))).toBe(text);
      }),
    );
  });

  it("never gives the same bytes twice, and does not show the text", () => {
    const seal = new AesSeal([NEW]);
    const [one, two] = [seal.seal("Bearer secret"), seal.seal("Bearer secret")];
    expect(Buffer.from(one).equals(two)).toBe(false);
    expect(Buffer.from(one).includes("secret")).toBe(false);
  });

  it("I10: a change of any byte is noticed", () => {
    const seal = new AesSeal([NEW]);
    const sealed = seal.seal("text");
    for (let index = 0; index < sealed.length; index += 1) {
      const changed = Uint8Array.from(sealed);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(() => seal.open(changed), `byte ${index}`).toThrow(/sealed/);
    }
  });

  it.each([0, 1, 4, 5, 16, 17, 32])("refuses %i bytes as too short", (length) => {
    const seal = new AesSeal([NEW]);
    expect(() => seal.open(seal.seal("").subarray(0, length))).toThrow(/sealed/);
  });

  it("after a change of keys opens the old bytes and seals with the new key", () => {
    const old = new AesSeal([OLD]).seal("text");
    const both = new AesSeal([NEW, OLD]);
    expect(both.open(old)).toBe("text");
    expect(new AesSeal([NEW]).open(both.seal("text"))).toBe("text");
    expect(() => new AesSeal([NEW]).open(old)).toThrow("a key that is not configured");
  });

  it.each([
    ["no key", []],
    ["a short key", [Buffer.alloc(31)]],
  ])("refuses %s", (_, keys) => {
    expect(() => new AesSeal(keys)).toThrow(/secret key/);
  });
});
