const shown = 80;

/** Text of any origin for an error message: in quotes, escaped, and cut where it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > shown ? `${text.slice(0, shown)}...` : text);
}
