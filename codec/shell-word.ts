/** A file name or argument as one word of a POSIX shell: plain where that is safe, in single quotes otherwise. For commands in messages. */
export function shellWord(text: string): string {
  return /^[\w.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
