// What all watch streams share: a call that goes on until the stream, its caller or the connection ends it.
import { MtError } from '../../../codec/errors.ts';
import type { CallContext } from '../../../codec/rpc.ts';

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

/** Opens a stream and delivers its first news. @returns when it has ended as it should. @throws MtError with which it was ended, or the call aborted */
export function runStream<E>(
  call: CallContext<E>,
  open: (end: EndStream) => OpenStream,
): Promise<Record<string, never>> {
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
