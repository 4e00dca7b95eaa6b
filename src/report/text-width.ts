// Control sequences of terminals: colours and styles (CSI) and hyperlinks (OSC).
// biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with the escape character
const escapes = /\u001b\[[0-9;:?]*[A-Za-z]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;
const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;
const emoji = /^(?:\p{Emoji_Presentation}|\p{Emoji}\ufe0f)/u;
// Unicode East Asian Width W and F: Hangul, CJK with its punctuation, kana, full-width forms.
const wide =
  /^[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]/u;

const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Text without the control sequences of terminals. */
export function stripEscapes(text: string): string {
  return text.replace(escapes, "");
}

/** Columns that a line takes in a terminal: East Asian wide characters and emoji take two, combining marks none. */
export function textWidth(text: string): number {
  let width = 0;
  for (const { segment } of segmenter.segment(stripEscapes(text))) {
    if (zeroWidth.test(segment)) continue;
    width += wide.test(segment) || emoji.test(segment) ? 2 : 1;
  }
  return width;
}
