// What all watch streams share: a call that goes on until the stream, its caller or the connection ends it.
import { MtError } from '../../../codec/errors.ts';
import type { CallContext } from '../../../codec/rpc.ts';
import type { Caller, ServerContext } from './context.ts';

/** Ends a stream: null as it should, otherwise with the error that its caller is told. */
export type EndStream = (error: MtError | null) => void;

interface OpenStream {
  /** Says what there is to say, first and whenever it changed. */
  deliver(): void;
  /** Takes the stream off the hub. */
  readonly stop: () => void;
}

/** The watcher starts again, with a fresh picture. */
export function tooSlow(): MtError {
  return new MtError('OVERLOADED', 'The news come faster than they are read', 'Watch again.');
}

/**
 * Opens a stream behind a read barrier and delivers its first news.
 * @returns when it has ended as it should.
 * @throws MtError with which it was ended, or the call aborted; OVERLOADED when the caller's address has too many.
 */
export async function runStream<E>(
  { engine, budgets }: ServerContext,
  { remote }: Caller,
  call: CallContext<E>,
  open: (end: EndStream) => OpenStream,
): Promise<Record<string, never>> {
  const leave = budgets.streams.enter(remote);
  try {
    await engine.readBarrier(call.timeoutMs);
    return await untilOver(call, open);
  } finally {
    leave();
  }
}

function untilOver<E>(call: CallContext<E>, open: (end: EndStream) => OpenStream): Promise<Record<string, never>> {
  return new Promise((resolve, reject) => {
    const end: EndStream = (error) => {
      stream.stop();
      call.signal.removeEventListener('abort', onAbort);
      if (error) reject(error);
      else resolve({});
    };
    const onAbort = () => end(call.signal.reason as MtError);
    const stream = open(end);
    call.signal.addEventListener('abort', onAbort, { once: true });
    stream.deliver();
  });
}
