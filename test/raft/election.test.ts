import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TestCluster } from './test-cluster.ts';

const test = suite('raft election');
test('three nodes elect and replicate', () => {
  const c = new TestCluster(3);
  c.elect(1);
  c.propose(1, 'a', 'b');
  c.settle();
  for (const id of [1, 2, 3]) assert.equal(c.node(id).state, ['a', 'b']);
});
test.run();
