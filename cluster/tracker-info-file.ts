// Reads the tracker file that a user names.
import { readFileSync } from 'node:fs';
import { parseTrackerInfo, type TrackerInfo } from '../codec/tracker-info.ts';
import { fileError } from './cluster-key.ts';

/** @param shown as typed, for messages. @throws MtError PATH_NOT_FOUND, PERMISSION, INVALID_TRACKER_INFO */
export function readTrackerInfo(path: string, shown: string): TrackerInfo {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw fileError(`The tracker info file ${shown} cannot be read`, cause);
  }
  return parseTrackerInfo(text, shown);
}
