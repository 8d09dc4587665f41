// Colour and animation, and when there is none: off a terminal, or with NO_COLOR set (https://no-color.org), or on a dumb terminal.
import pc from 'picocolors';

type Stream = NodeJS.WriteStream;

export function isLively(stream: Stream): boolean {
  return Boolean(stream.isTTY) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

/** Colours for one stream, plain functions where it takes none. */
export function paint(stream: Stream): ReturnType<typeof pc.createColors> {
  return pc.createColors(isLively(stream));
}
