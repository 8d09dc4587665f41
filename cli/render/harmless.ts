// Text of others made safe for a terminal without cutting it (codec's `printable` cuts, which would spoil a path or a message).

// C0, DEL, C1; and the marks that turn the direction of writing, by which "gpj.exe" can be shown as "exe.jpg".
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it replaces
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function harmless(text: string): string {
  return text.toWellFormed().replaceAll(UNSAFE, '?');
}
