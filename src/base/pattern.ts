/** True where `text` fits a pattern in which `*` stands for any characters. */
export function matchesPattern(
  text: string,
  pattern: string,
  options: { ignoreCase?: boolean } = {},
): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, options.ignoreCase ? "i" : "").test(text);
}
