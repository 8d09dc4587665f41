// The manifest that belongs to a log entry's data until both are on disk. Entries and proposals carry the same data object
// through the consensus core, which never sees the manifest; when the data is collected, so is this link.

export interface Attachment {
  /** SHA-256 of `bytes`. */
  readonly hash: Uint8Array;
  readonly bytes: Uint8Array;
}

const attachments = new WeakMap<Uint8Array, Attachment>();

export function attach(data: Uint8Array, attachment: Attachment): void {
  attachments.set(data, attachment);
}

/** The manifest is on disk: from now on it is read from there, and memory holds what is under way only. */
export function detach(data: Uint8Array): void {
  attachments.delete(data);
}

export function attachmentOf(data: Uint8Array): Attachment | null {
  return attachments.get(data) ?? null;
}
