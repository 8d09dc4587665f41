// Values that a schema accepts, made from the schema itself: so every message of every conversation is a seed, also those that are
// added later. Knows the valibot schemas that this project uses.
import * as v from 'valibot';

export type Random = (below: number) => number;

// biome-ignore lint/suspicious/noExplicitAny: schemas are walked by their own description, whatever their types
type Shape = any;

const TEXTS = [
  'a',
  'lab',
  'f.txt',
  'Ünïcode ☃',
  '/tmp/x',
  '127.0.0.1',
  '0',
  '',
  'ab'.repeat(32),
  'cd'.repeat(16),
  'x'.repeat(200),
];
const BYTE_LENGTHS = [0, 1, 12, 16, 20, 32, 64, 48, 100];
const NUMBERS = [0, 1, 2, 80, 4_096, 65_536, 5_353, 1_000_000, 2 ** 40, -1, 0.5];
const LIST_MAX = 3;

/** @returns undefined when no candidate fits, which a mutation may mend. */
export function sample(schema: Shape, random: Random): unknown {
  switch (schema.type) {
    case 'strict_object':
    case 'loose_object':
    case 'object':
      return sampleObject(schema, random);
    case 'array':
      return Array.from({ length: random(LIST_MAX) }, () => sample(schema.item, random));
    case 'tuple':
    case 'strict_tuple':
      return schema.items.map((item: Shape) => sample(item, random));
    case 'record':
      return { [String(sample(schema.key, random))]: sample(schema.value, random) };
    case 'variant':
    case 'union':
      return sample(schema.options[random(schema.options.length)], random);
    case 'nullable':
      return random(3) === 0 ? null : sample(schema.wrapped, random);
    case 'optional':
      return sample(schema.wrapped, random);
    case 'picklist':
      return schema.options[random(schema.options.length)];
    case 'literal':
      return schema.literal;
    case 'boolean':
      return random(2) === 0;
    case 'number':
      return fitting(schema, NUMBERS, random);
    case 'string':
      return fitting(schema, TEXTS, random);
    case 'instance':
    case 'custom':
      return fitting(
        schema,
        BYTE_LENGTHS.map((length) => new Uint8Array(length).fill(random(256))),
        random,
      );
    case 'unknown':
      return [null, 1, 'text', {}, []][random(5)];
    default:
      throw new Error(`The fuzzer does not know schemas of type ${schema.type}`);
  }
}

function sampleObject(schema: Shape, random: Random): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries<Shape>(schema.entries)) {
    if (entry.type === 'optional' && random(2) === 0) continue;
    value[key] = sample(entry, random);
  }
  return value;
}

function fitting(schema: Shape, candidates: readonly unknown[], random: Random): unknown {
  const start = random(candidates.length);
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[(start + i) % candidates.length];
    if (v.is(schema, candidate)) return candidate;
  }
  return undefined;
}
