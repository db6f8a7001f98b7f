/** Label selectors, as far as workloads, Services and NetworkPolicies use them. */

type Labels = Record<string, string> | undefined;

interface Expression {
  key: string;
  operator: string;
  values?: string[];
}

/** A Service without a selector selects nothing; otherwise every label has to be there. */
export function serviceSelects(selector: Labels, labels: Labels): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels?.[key] === value);
}

/** An empty label selector selects everything (metav1.LabelSelector). */
export function selectorMatches(
  selector: { matchLabels?: Record<string, string>; matchExpressions?: unknown[] },
  labels: Labels,
): boolean {
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels?.[key] === value);
  return (
    equal && ((selector.matchExpressions ?? []) as Expression[]).every((expression) => matches(expression, labels))
  );
}

function matches({ key, operator, values = [] }: Expression, labels: Labels): boolean {
  const value = labels?.[key];
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default:
      return false;
  }
}
