/** Durations as the resource spells them. */

/** Milliseconds of `1h30m15s`-like text. The schema refuses everything else, so other text is a bug and throws. */
export function parseDurationMs(text: string): number {
  const match = /^(?:(?<hours>\d+)h)?(?:(?<minutes>\d+)m)?(?:(?<seconds>\d+)s)?$/.exec(text);
  if (match === null || text === "") throw new Error(`not a duration: ${JSON.stringify(text)}`);
  const { hours = "0", minutes = "0", seconds = "0" } = match.groups ?? {};
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
}
