// What a terminal would show: the few control sequences that our programs write, on a grid of cells. Knows no more of ECMA-48 than that,
// and says so when it meets another one: a picture must not be wrong in silence.

export interface Style {
  readonly color: number | null;
  readonly bold: boolean;
  readonly dim: boolean;
}

export interface Cell {
  readonly text: string;
  readonly style: Style;
}

const PLAIN: Style = { color: null, bold: false, dim: false };
const BLANK: Cell = { text: ' ', style: PLAIN };
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what terminals speak
const SEQUENCE = /\x1b\[(\??)([\d;]*)([A-Za-z])/y;

export class Screen {
  readonly columns: number;
  readonly #lines: Cell[][] = [[]];
  #row = 0;
  #column = 0;
  #saved = { row: 0, column: 0 };
  #style = PLAIN;
  /** A line that is longer than the screen goes on in the next one, unless a program turned that off. */
  #wraps = true;

  constructor(columns: number) {
    this.columns = columns;
  }

  /** Lines without blanks at their ends; empty ones at the end are left out. */
  get lines(): readonly (readonly Cell[])[] {
    const lines = this.#lines.map((line) => line.slice(0, line.findLastIndex(({ text }) => text !== ' ') + 1));
    return lines.slice(0, lines.findLastIndex((line) => line.length > 0) + 1);
  }

  write(text: string): void {
    for (let at = 0; at < text.length; ) {
      SEQUENCE.lastIndex = at;
      const match = SEQUENCE.exec(text);
      if (match) {
        this.#control(match[1]!, match[2]!, match[3]!);
        at += match[0].length;
        continue;
      }
      if (text.startsWith('\x1b7', at) || text.startsWith('\x1b8', at)) {
        if (text[at + 1] === '7') this.#saved = { row: this.#row, column: this.#column };
        else ({ row: this.#row, column: this.#column } = this.#saved);
        at += 2;
        continue;
      }
      const character = String.fromCodePoint(text.codePointAt(at)!);
      if (character === '\x1b')
        throw new Error(`an unknown control sequence: ${JSON.stringify(text.slice(at, at + 8))}`);
      this.#put(character);
      at += character.length;
    }
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') this.#moveTo(this.#row + 1);
    else if (character === '\b') this.#column = Math.max(0, this.#column - 1);
    else if (character === '\x07') return;
    else {
      if (this.#column >= this.columns) {
        if (!this.#wraps) return;
        this.#moveTo(this.#row + 1);
        this.#column = 0;
      }
      const line = this.#lines[this.#row]!;
      while (line.length < this.#column) line.push(BLANK);
      line[this.#column] = { text: character, style: this.#style };
      this.#column += 1;
    }
  }

  #moveTo(row: number): void {
    this.#row = Math.max(0, row);
    while (this.#lines.length <= this.#row) this.#lines.push([]);
  }

  #control(mark: string, digits: string, letter: string): void {
    const count = Number(digits.split(';')[0]) || 1;
    if (mark === '?') {
      if (digits === '7') this.#wraps = letter === 'h';
      return; // the cursor on or off, bracketed paste
    }
    switch (letter) {
      case 'm':
        return this.#setStyle(digits);
      case 'A':
        return this.#moveTo(this.#row - count);
      case 'B':
        return this.#moveTo(this.#row + count);
      case 'C':
        this.#column += count;
        return;
      case 'D':
        this.#column = Math.max(0, this.#column - count);
        return;
      case 'F':
        this.#column = 0;
        return this.#moveTo(this.#row - count);
      case 'G':
        this.#column = count - 1;
        return;
      case 'K':
        this.#lines[this.#row]!.length = Math.min(this.#lines[this.#row]!.length, this.#column);
        return;
      case 'J':
        this.#lines[this.#row]!.length = Math.min(this.#lines[this.#row]!.length, this.#column);
        this.#lines.length = this.#row + 1;
        return;
      default:
        throw new Error(`an unknown control sequence: ${letter}`);
    }
  }

  #setStyle(digits: string): void {
    for (const code of (digits || '0').split(';').map(Number)) {
      if (code === 0) this.#style = PLAIN;
      else if (code === 1) this.#style = { ...this.#style, bold: true };
      else if (code === 2) this.#style = { ...this.#style, dim: true };
      else if (code === 22) this.#style = { ...this.#style, bold: false, dim: false };
      else if (code === 39) this.#style = { ...this.#style, color: null };
      else if (code >= 30 && code <= 37) this.#style = { ...this.#style, color: code - 30 };
      else if (code >= 90 && code <= 97) this.#style = { ...this.#style, color: code - 82 };
      else throw new Error(`an unknown style: ${code}`);
    }
  }
}
