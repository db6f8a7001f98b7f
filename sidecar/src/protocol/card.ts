export interface CardRewrite { text: string; changed: boolean; grpcInterfaces: number; signaturesDropped: boolean }
export interface CardAddresses { agentUrl: string; publicUrl: string | null; requestOrigin: string }
export function rewriteCard(cardText: string, addresses: CardAddresses): CardRewrite { throw new Error("unbuilt"); }
export function cardSpeaks(cardText: string): { streaming: boolean | null; pushNotifications: boolean | null; native03: boolean } { throw new Error("unbuilt"); }
export function etagOf(text: string, digest: (text: string) => string): string { throw new Error("unbuilt"); }
