/** True where `name` fits a pattern in which `*` stands for any characters. */
export function matchesPattern(name: string, pattern: string): boolean {
  const escaped = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\#]/g, "\\$&"));
  return new RegExp(`^${escaped.join(".*")}$`).test(name);
}
