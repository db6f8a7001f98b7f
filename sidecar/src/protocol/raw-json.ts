export interface RawMember { key: string; value: string; keyStart: number; start: number; end: number }
export interface Edit { start: number; end: number; text: string }
export function isJson(text: string): boolean { throw new Error("unbuilt"); }
export function nestingDepth(text: string): number { throw new Error("unbuilt"); }
export function isObject(value: string | undefined): value is string { throw new Error("unbuilt"); }
export function isArray(value: string | undefined): value is string { throw new Error("unbuilt"); }
export function members(objectText: string): RawMember[] { throw new Error("unbuilt"); }
export function elements(arrayText: string): string[] { throw new Error("unbuilt"); }
export function member(objectText: string, key: string): string | undefined { throw new Error("unbuilt"); }
export function setMember(objectText: string, key: string, rawValue: string): string { throw new Error("unbuilt"); }
export function removeMember(objectText: string, key: string): string { throw new Error("unbuilt"); }
export function text(value: string | undefined): string | undefined { throw new Error("unbuilt"); }
export function quote(value: string): string { throw new Error("unbuilt"); }
export function oneLine(jsonText: string): string { throw new Error("unbuilt"); }
