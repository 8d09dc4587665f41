/**
 * A snapshot's chunk of rows, written as CBOR ['rows', [row, …]] straight into its bytes: a snapshot writes everything that the state
 * holds, while commands are served, and a general encoder took several times as long. Reading needs no counterpart: it is CBOR.
 */
import { invariant } from './bytes.ts';
import type { Row } from './content-hash.ts';

/** ['rows', and the list's own header, whose u16 count is filled in at the end. */
const HEAD = [0x82, 0x64, 0x72, 0x6f, 0x77, 0x73, 0x99, 0, 0];
const COUNT_AT = 7;
const ROWS_MAX = 0xffff;

const UINT = 0x00;
const TEXT = 0x60;
const LIST = 0x80;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const FLOAT64 = 0xfb;
/** Of a number or a string's length. */
const HEADER_SIZE_MAX = 9;
const UTF8_PER_UNIT_MAX = 3;

export class RowsChunk {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #count = 0;

  constructor(bytesMax: number) {
    this.#bytes = new Uint8Array(bytesMax);
    this.#view = new DataView(this.#bytes.buffer);
    this.#begin();
  }

  get count(): number {
    return this.#count;
  }

  /** @returns false, with nothing added, when it may not fit any more. */
  add(row: Row): boolean {
    if (this.#count === ROWS_MAX || this.#at + sizeBound(row) > this.#bytes.length) return false;
    this.#count++;
    this.#header(LIST, row.length);
    for (const field of row) {
      if (typeof field === 'string') this.#text(field);
      else if (typeof field === 'number') this.#number(field);
      else this.#bytes[this.#at++] = field === null ? NULL : field ? TRUE : FALSE;
    }
    return true;
  }

  /** A copy of what was added, and begins anew. */
  take(): Uint8Array<ArrayBuffer> {
    this.#bytes[COUNT_AT] = this.#count >> 8;
    this.#bytes[COUNT_AT + 1] = this.#count;
    const chunk = this.#bytes.slice(0, this.#at) as Uint8Array<ArrayBuffer>;
    this.#begin();
    return chunk;
  }

  #begin(): void {
    this.#bytes.set(HEAD);
    this.#at = HEAD.length;
    this.#count = 0;
  }

  #number(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, 'a row holds counts');
    if (value < 0x1_0000_0000) return this.#header(UINT, value);
    // As a float, which holds it exactly: decoders make a bigint of an integer of 64 bits.
    this.#bytes[this.#at] = FLOAT64;
    this.#view.setFloat64(this.#at + 1, value);
    this.#at += 9;
  }

  #header(major: number, value: number): void {
    const bytes = this.#bytes;
    if (value < 24) {
      bytes[this.#at++] = major | value;
    } else if (value < 0x100) {
      bytes[this.#at++] = major | 24;
      bytes[this.#at++] = value;
    } else if (value < 0x1_0000) {
      bytes[this.#at++] = major | 25;
      bytes[this.#at++] = value >> 8;
      bytes[this.#at++] = value;
    } else {
      bytes[this.#at] = major | 26;
      this.#view.setUint32(this.#at + 1, value);
      this.#at += 5;
    }
  }

  #text(text: string): void {
    this.#header(TEXT, utf8Size(text));
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < text.length; i++) {
      const code = text.codePointAt(i)!;
      if (code < 0x80) {
        bytes[at++] = code;
      } else if (code < 0x800) {
        bytes[at++] = 0xc0 | (code >> 6);
        bytes[at++] = 0x80 | (code & 63);
      } else if (code < 0x1_0000) {
        const unit = isLoneSurrogate(code) ? 0xfffd : code;
        bytes[at++] = 0xe0 | (unit >> 12);
        bytes[at++] = 0x80 | ((unit >> 6) & 63);
        bytes[at++] = 0x80 | (unit & 63);
      } else {
        i++;
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 63);
        bytes[at++] = 0x80 | ((code >> 6) & 63);
        bytes[at++] = 0x80 | (code & 63);
      }
    }
    this.#at = at;
  }
}

/** Never too little. */
function sizeBound(row: Row): number {
  let bytes = HEADER_SIZE_MAX;
  for (const field of row) {
    bytes += HEADER_SIZE_MAX + (typeof field === 'string' ? field.length * UTF8_PER_UNIT_MAX : 0);
  }
  return bytes;
}

function utf8Size(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    size += unit < 0x800 ? 1 : 2;
    if (text.codePointAt(i)! > 0xffff) i++; // two units, four bytes
  }
  return size;
}

function isLoneSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdfff;
}
