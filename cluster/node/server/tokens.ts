// Random identifiers, drawn by the tracker that receives a request: the log carries them, `apply` draws nothing.
import { randomBytes } from 'node:crypto';

/** 16 random bytes in lower-case hex: sessions, exactly-once clients, incarnations. */
export function randomToken(): string {
  return randomBytes(16).toString('hex');
}
