import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Bitfield } from '../../daemon/pieces/bitfield.ts';
import { Core } from '../../daemon/pieces/core.ts';
import { makeGeometry } from '../../daemon/pieces/geometry.ts';
import { NeighbourTable } from '../../daemon/pieces/neighbour-table.ts';
import { type Candidate, pickEndgameOffer, pickOffer } from '../../daemon/pieces/offer-picker.ts';
import { seededRandom } from '../swarm-sim/clock.ts';
import { bytesOf } from './picture.ts';

const test = suite('offer-picker');

interface Picture {
  have: string;
  peers: string[];
  deficits?: number[];
  /** Peers (numbered from 1) that may be offered something; default all. */
  eligible?: number[];
}

function setUp({ have, peers, deficits = [], eligible }: Picture, seed: number) {
  const table = new NeighbourTable(Bitfield.fromBytes(bytesOf(have), have.length)!);
  const core = new Core(makeGeometry(have.length * 65536, 65536), table, seededRandom(seed));
  const candidates: Candidate[] = peers.map((peer, index) => {
    const neighbour = table.linkUp(index + 1, 'upload', { userId: 'u', rttMs: 0 });
    neighbour.cameComplete = !/[.+]/.test(peer);
    [...peer].forEach((mark, piece) => {
      if (mark === '#') table.markHave(neighbour, piece);
      if (mark === '+') table.markGetting(neighbour, piece, 0);
    });
    return { neighbour, deficit: deficits[index] ?? 0 };
  });
  return { core, candidates: candidates.filter(({ neighbour }) => !eligible || eligible.includes(neighbour.id)) };
}

/** All offers that some seed leads to, as "piece → peer". */
function offers(picture: Picture, freshFrom: number | null = null): string[] {
  const found = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { core, candidates } = setUp(picture, seed);
    const offer = pickOffer(core, candidates, freshFrom);
    found.add(offer ? `${offer.piece} → ${offer.receiver.neighbour.id}` : 'nothing');
  }
  return [...found].sort();
}

test('the rarest of my pieces that somebody lacks', () => {
  assert.equal(offers({ have: '####', peers: ['##..', '#.+.', '#...'] }), ['3 → 1', '3 → 2', '3 → 3']);
  assert.equal(offers({ have: '###.', peers: ['##..', '#.+.', '###.'] }), ['1 → 2', '2 → 1']);
  assert.equal(offers({ have: '#...', peers: ['#...', '+...'] }), ['nothing']);
});

test('who came complete says nothing about rarity', () => {
  assert.equal(offers({ have: '##..', peers: ['####', '.+..', '..+.'] }), ['0 → 2', '0 → 3']);
});

test('a complete node looks at deficits', () => {
  assert.equal(offers({ have: '##', peers: ['..', '..', '..'], deficits: [3, -1, 0] }), ['0 → 2', '1 → 2']);
});

test('a leecher gives to who has fewest pieces', () => {
  assert.equal(offers({ have: '##..', peers: ['.###', '..#.', '..##'], deficits: [-9, 0, 0] }), ['0 → 2']);
});

test('ties are broken at random, in order for a lone receiver', () => {
  assert.is(offers({ have: '####.', peers: ['.....', '.....'] }).length, 8);
  assert.equal(offers({ have: '####.', peers: ['#....'] }), ['1 → 1']);
});

test('a lone seeder gives out what nobody has in the order of the file', () => {
  assert.equal(offers({ have: '####', peers: ['#...', '....'] }, 0), ['1 → 1', '1 → 2']);
  assert.equal(offers({ have: '####', peers: ['#...', '....'] }, 3), ['3 → 1', '3 → 2']);
  assert.equal(offers({ have: '####', peers: ['#..#', '....'] }, 3), ['1 → 1', '1 → 2']);
  assert.equal(offers({ have: '##', peers: ['#.', '.#'] }, 0), ['0 → 2', '1 → 1']);
});

test('only the eligible count', () => {
  assert.equal(offers({ have: '###', peers: ['##.', '.##'], eligible: [2] }), ['0 → 2']);
  assert.equal(offers({ have: '###', peers: ['...', '###'], eligible: [2] }), ['nothing']);
});

test('finds the one piece that fits among thousands', () => {
  const have = '#'.repeat(4000);
  const almost = `${'#'.repeat(2345)}.${'#'.repeat(1654)}`;
  const picture = { have, peers: ['.'.repeat(4000), almost], eligible: [2] };
  const { core, candidates } = setUp(picture, 1);
  assert.is(pickOffer(core, candidates, null)!.piece, 2345);
});

test('as a dumb search: a rarest piece that somebody lacks, and somebody who lacks it', () => {
  const marks = fc.array(fc.constantFrom('#', '+', '.'), { minLength: 5, maxLength: 5 }).map((list) => list.join(''));
  const from = fc.option(fc.nat(4));
  const own = marks.map((text) => text.replaceAll('+', '#'));
  fc.assert(
    fc.property(
      own,
      fc.array(marks, { minLength: 2, maxLength: 4 }),
      fc.nat(),
      from,
      (have, peers, seed, freshFrom) => {
        const { core, candidates } = setUp({ have, peers }, seed);
        const rarity = (piece: number) => peers.filter((peer) => /[.+]/.test(peer) && peer[piece] !== '.').length;
        const lacked = [0, 1, 2, 3, 4].filter(
          (piece) => have[piece] === '#' && peers.some((peer) => peer[piece] === '.'),
        );
        const offer = pickOffer(core, candidates, freshFrom);
        assert.is(offer === null, lacked.length === 0);
        if (!offer) return;
        assert.is(rarity(offer.piece), Math.min(...lacked.map(rarity)));
        assert.is(peers[offer.receiver.neighbour.id - 1]![offer.piece], '.');
      },
    ),
  );
});

test('the endgame offers what somebody is getting elsewhere, if I have it and he is open to it', () => {
  const picture = { have: '##.', peers: ['#++', '###'] };
  for (let seed = 0; seed < 20; seed++) {
    const { core, candidates } = setUp(picture, seed);
    const offer = pickEndgameOffer(core, candidates, () => true)!;
    assert.equal([offer.piece, offer.receiver.neighbour.id], [1, 1]);
    assert.is(
      pickEndgameOffer(core, candidates, () => false),
      null,
    );
  }
});

test.run();
