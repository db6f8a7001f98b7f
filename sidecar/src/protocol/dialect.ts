/** The wire dialect of a JSON-RPC call or task: A2A 0.3 or 1.0. The method name alone tells which (a2a §5.3, §9.4). */
export type Dialect = "0.3" | "1.0";
