// A screen as an SVG picture of a terminal window. Each run of cells of one style is a piece of text at its column, as wide as its cells
// whatever font the reader has.
import type { Cell, Screen, Style } from './screen.ts';

const CELL_WIDTH = 8.4;
const LINE_HEIGHT = 19;
const FONT_SIZE = 14;
const MARGIN = 18;
const BAR_HEIGHT = 34;
const BACKGROUND = '#1d2021';
const BAR = '#32302f';
const TEXT = '#ebdbb2';
/** The sixteen colours of a terminal, from black to bright white. */
const COLORS = [
  ...['#665c54', '#fb4934', '#b8bb26', '#fabd2f', '#83a598', '#d3869b', '#8ec07c', '#ebdbb2'],
  ...['#928374', '#fb4934', '#b8bb26', '#fabd2f', '#83a598', '#d3869b', '#8ec07c', '#fbf1c7'],
];

/** @param title of the window. */
export function toSvg(screen: Screen, title: string): string {
  const { lines, columns } = screen;
  const width = Math.ceil(columns * CELL_WIDTH + 2 * MARGIN);
  const height = Math.ceil(BAR_HEIGHT + lines.length * LINE_HEIGHT + 2 * MARGIN - 8);
  const dots = ['#fb4934', '#fabd2f', '#b8bb26'].map(
    (color, at) => `<circle cx="${20 + at * 20}" cy="${BAR_HEIGHT / 2}" r="6" fill="${color}"/>`,
  );
  const rows = lines.map((line, row) => rowOf(line, BAR_HEIGHT + MARGIN + row * LINE_HEIGHT + FONT_SIZE - 4));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" rx="8" fill="${BACKGROUND}"/>
<path d="M0 ${BAR_HEIGHT}V8a8 8 0 0 1 8-8H${width - 8}a8 8 0 0 1 8 8V${BAR_HEIGHT}z" fill="${BAR}"/>
${dots.join('')}
<g font-family="'DejaVu Sans Mono', 'Cascadia Mono', Menlo, Consolas, monospace" font-size="${FONT_SIZE}" fill="${TEXT}">
<text x="${width / 2}" y="${BAR_HEIGHT / 2 + 5}" text-anchor="middle" fill="#a89984">${escaped(title)}</text>
${rows.filter(Boolean).join('\n')}
</g>
</svg>
`;
}

function rowOf(line: readonly Cell[], y: number): string {
  const pieces: string[] = [];
  for (let at = 0; at < line.length; ) {
    const { style } = line[at]!;
    let end = at;
    while (end < line.length && same(line[end]!.style, style)) end += 1;
    const text = line
      .slice(at, end)
      .map((cell) => cell.text)
      .join('');
    if (text.trim() !== '') pieces.push(piece(text, at, y, style));
    at = end;
  }
  return pieces.join('');
}

function piece(text: string, column: number, y: number, { color, bold, dim }: Style): string {
  const x = (MARGIN + column * CELL_WIDTH).toFixed(1);
  const width = ([...text].length * CELL_WIDTH).toFixed(1);
  const fill = color === null ? '' : ` fill="${COLORS[color]}"`;
  const looks = `${fill}${bold ? ' font-weight="bold"' : ''}${dim ? ' opacity="0.6"' : ''}`;
  return `<text x="${x}" y="${y.toFixed(1)}" textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve"${looks}>${escaped(text)}</text>`;
}

function same(a: Style, b: Style): boolean {
  return a.color === b.color && a.bold === b.bold && a.dim === b.dim;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
