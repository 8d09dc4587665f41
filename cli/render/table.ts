// Listings for people: columns without borders. Text that others chose is made harmless here, in one place.
// Linear in the rows, because listings have no cap (cli-table3 took ten seconds for 10,000 files).
import stringWidth from 'string-width';
import { harmless } from './harmless.ts';
import { paint } from './paint.ts';

const GAP = '  ';

/** A title, with its column to the left; or one with numbers, to the right. */
export type Column = string | { readonly right: string };

/** @returns lines without a closing newline; '' when there are no rows. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const titles = columns.map((column) => (typeof column === 'string' ? column : column.right));
  const lines = [titles, ...rows.map((row) => row.map(harmless))].map((cells) =>
    cells.map((text) => ({ text, width: stringWidth(text) })),
  );
  const widths = columns.map((_, index) => lines.reduce((most, line) => Math.max(most, line[index]!.width), 0));
  const texts = lines.map((line) =>
    line
      .map(({ text, width }, index) => {
        const blanks = ' '.repeat(widths[index]! - width);
        return typeof columns[index] === 'string' ? text + blanks : blanks + text;
      })
      .join(GAP)
      .trimEnd(),
  );
  texts[0] = paint(process.stdout).bold(texts[0]!);
  return texts.join('\n');
}

/** `name  value` lines, names aligned. Values are made harmless. */
export function facts(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}${GAP}${harmless(value)}`).join('\n');
}
