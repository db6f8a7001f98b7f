/** What a rotation step makes of a state. The input is not changed. */
import { issueAuthority, issueServing } from "./issue.ts";
import type { CertificateState } from "./key-pair.ts";
import { authorityLifeMs, type RotationStep, servingLifeMs, validityFrom } from "./rotation.ts";

/** The state after a step. Throws only when an authority that was checked cannot sign. */
export async function carryOutStep(
  state: CertificateState,
  step: RotationStep,
  context: { now: Date; dnsNames: string[] },
): Promise<CertificateState> {
  const { now, dnsNames } = context;
  const serving = validityFrom(now, servingLifeMs);
  switch (step.kind) {
    case "none":
      return state;
    case "startOver": {
      const authority = await issueAuthority(validityFrom(now, authorityLifeMs));
      return { authority, serving: await issueServing(authority, dnsNames, serving) };
    }
    case "issueServing": {
      if (state.authority === undefined) throw new Error("no authority to issue a serving certificate with");
      return { ...state, serving: await issueServing(state.authority, dnsNames, serving) };
    }
    case "prepareNext":
      return { ...state, next: await issueAuthority(validityFrom(now, authorityLifeMs)) };
    case "promoteNext": {
      const { next, authority, previous = "" } = state;
      if (next === undefined) throw new Error("no next authority to promote");
      return {
        authority: next,
        previous: `${authority?.certificate ?? ""}${previous}`,
        serving: await issueServing(next, dnsNames, serving),
      };
    }
    case "dropPrevious": {
      const { previous: _dropped, ...kept } = state;
      return step.previous === "" ? kept : { ...kept, previous: step.previous };
    }
  }
}
