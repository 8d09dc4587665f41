// Another version's answers: what is unknown is dropped, what is known is checked as ever.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as v from 'valibot';
import { controlApi } from '../../codec/control-api.ts';
import { lenient } from '../../codec/lenient.ts';
import type { Method, Schema } from '../../codec/rpc-types.ts';
import { trackerApi } from '../../codec/tracker-rpc.ts';

const test = suite('lenient');

const row = v.strictObject({ name: v.string(), size: v.optional(v.number()) });
const schema = v.strictObject({
  rows: v.pipe(v.array(row), v.maxLength(2)),
  next: v.nullable(v.strictObject({ after: v.string() })),
});

test('unknown fields are dropped wherever they stand; everything else is as strict as it was', () => {
  const soft = lenient(schema);
  assert.is(lenient(schema), soft, 'made once');
  const newer = {
    rows: [
      { name: 'a', colour: 'red' },
      { name: 'b', size: 1 },
    ],
    next: { after: 'b', page: 2 },
    more: [],
  };
  assert.not.ok(v.safeParse(schema, newer).success);
  assert.equal(v.parse(soft, newer), { rows: [{ name: 'a' }, { name: 'b', size: 1 }], next: { after: 'b' } });
  for (const wrong of [
    { rows: [{ colour: 'red' }], next: null },
    { rows: [{ name: 'a', size: 'large' }], next: null },
    { rows: [{ name: 'a' }, { name: 'b' }, { name: 'c' }], next: null },
    { rows: [] },
    [],
    null,
  ]) {
    assert.not.ok(v.safeParse(soft, wrong).success, JSON.stringify(wrong));
  }
});

test('whatever a tracker or a daemon may answer is read so, down to the last row', () => {
  const strict: string[] = [];
  const walk = (at: string, value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    if ((value as { type?: unknown }).type === 'strict_object') strict.push(at);
    for (const [name, inner] of Object.entries(value)) if (name !== 'requirement') walk(`${at}.${name}`, inner);
  };
  for (const [name, method] of Object.entries<Method>({ ...trackerApi, ...controlApi })) {
    const answers: (Schema | undefined)[] = [method.result, method.event];
    for (const answer of answers) if (answer) walk(name, lenient(answer));
  }
  assert.equal(strict, []);
});

test.run();
