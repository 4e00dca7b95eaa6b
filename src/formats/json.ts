import type { FormatError } from "../base/errors.js";

/** A JSON value whose objects are maps in the order of the text: any key is safe, and none is lost. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = Map<string, JsonValue>;

/** Bounds and error context of `readJson`. */
export interface ReadJsonOptions {
  /** Deepest nesting of arrays and objects. */
  readonly maxDepth: number;
  /** The error for a fault at a position of the text, in UTF-16 code units. */
  readonly fault: (position: number, problem: string) => FormatError;
}

/**
 * Reads JSON (RFC 8259) from a source that is not trusted: unlike `JSON.parse` it refuses duplicate keys,
 * which readers resolve differently, and nesting beyond a bound.
 * @throws FormatError made by `options.fault`
 */
export function readJson(text: string, options: ReadJsonOptions): JsonValue {
  const reader = new Reader(text, options);
  const value = reader.value(0);
  reader.end();
  return value;
}

/** Longest number or word that is read; no size, offset or finite double needs more. */
const maxLiteral = 64;
const literalPattern = new RegExp(`[-+.0-9A-Za-z]{1,${maxLiteral}}`, "y");

// Long runs are scanned by loops: a regular expression's stack is bounded, and overflows on hostile text.
class Reader {
  readonly #text: string;
  readonly #options: ReadJsonOptions;
  #position = 0;

  constructor(text: string, options: ReadJsonOptions) {
    this.#text = text;
    this.#options = options;
  }

  value(depth: number): JsonValue {
    this.#skipSpace();
    const start = this.#text[this.#position];
    if (start === "{" || start === "[") {
      if (depth === this.#options.maxDepth) throw this.#fault(`nesting deeper than ${depth}`);
      return start === "{" ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    return start === '"' ? this.#string() : this.#literal();
  }

  end(): void {
    this.#skipSpace();
    if (this.#position < this.#text.length) throw this.#expected("the end of the JSON text");
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = new Map();
    this.#items("}", () => {
      const at = this.#position;
      const key = this.#string();
      if (object.has(key)) throw this.#fault(`duplicate key ${JSON.stringify(key.slice(0, 80))}`, at);
      if (!this.#take(":")) throw this.#expected('":"');
      object.set(key, this.value(depth));
    });
    return object;
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.#items("]", () => array.push(this.value(depth)));
    return array;
  }

  #items(close: string, item: () => void): void {
    this.#position++;
    if (this.#take(close)) return;
    for (;;) {
      this.#skipSpace();
      item();
      if (this.#take(close)) return;
      if (!this.#take(",")) throw this.#expected(`"," or "${close}"`);
    }
  }

  #string(): string {
    if (this.#text[this.#position] !== '"') throw this.#expected("a string");
    let end = this.#position + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === "\\" ? 2 : 1;
    if (end >= this.#text.length) throw this.#fault("a string without end");
    return this.#parse(end + 1, "a string without control characters and unknown escapes") as string;
  }

  #literal(): JsonValue {
    literalPattern.lastIndex = this.#position;
    const length = literalPattern.exec(this.#text)?.[0].length ?? 0;
    return this.#parse(this.#position + length, "a JSON value");
  }

  /** Parses the scalar that goes on to `end`. */
  #parse(end: number, expected: string): JsonValue {
    let value: JsonValue;
    try {
      value = JSON.parse(this.#text.slice(this.#position, end)) as JsonValue;
    } catch {
      throw this.#expected(expected);
    }
    this.#position = end;
    return value;
  }

  /** Passes over one character, where it is next after space. */
  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#position] !== character) return false;
    this.#position++;
    return true;
  }

  #skipSpace(): void {
    while (" \t\n\r".includes(this.#text[this.#position] ?? "end")) this.#position++;
  }

  #expected(what: string): FormatError {
    const rest = this.#text.slice(this.#position, this.#position + 12);
    const found = rest === "" ? "the end of the text" : JSON.stringify(rest);
    return this.#fault(`expected ${what}, found ${found}`);
  }

  #fault(problem: string, position = this.#position): FormatError {
    return this.#options.fault(position, problem);
  }
}
