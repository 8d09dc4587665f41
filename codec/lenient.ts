// What another version of our programs answers: fields that this one does not know are passed over, so that a newer tracker's list of
// files, say, is still a list of files. Only for what we asked for (replies and events); what others ask of us is read strictly.
import * as v from 'valibot';
import type { Schema } from './rpc-types.ts';

/** The parts of valibot's schemas that hold others. */
interface Parts {
  readonly type: string;
  readonly entries?: Record<string, Schema>;
  readonly item?: Schema;
  readonly wrapped?: Schema;
  readonly pipe?: readonly [Schema, ...v.GenericPipeItem[]];
}

const lenients = new WeakMap<Schema, Schema>();

/** The same schema, but unknown fields of objects in it are dropped instead of refused. Made once for each schema. */
export function lenient<S extends Schema>(schema: S): S {
  let made = lenients.get(schema);
  if (!made) {
    made = make(schema);
    lenients.set(schema, made);
  }
  return made as S;
}

function make(schema: Schema): Schema {
  const { type, entries, item, wrapped, pipe } = schema as unknown as Parts;
  if (pipe) return v.pipe(lenient(pipe[0]), ...(pipe.slice(1) as [v.GenericPipeItem]));
  if (type === 'strict_object' && entries) {
    return v.object(Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, lenient(entry)])));
  }
  if (type === 'array' && item) return v.array(lenient(item));
  if (type === 'nullable' && wrapped) return v.nullable(lenient(wrapped));
  if (type === 'optional' && wrapped) return v.optional(lenient(wrapped));
  return schema;
}
