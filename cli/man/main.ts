// npm run man: writes the manual pages into dist/man/, where package.json says they are. Runs the built daemons for their --help.
// npm run man -- faq: writes the part of FAQ.md that is made from the table of errors.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faqSections } from '../error-guide.ts';
import { mtPages, programPage } from './pages.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const FOLDER = join(ROOT, 'dist', 'man');
const PROGRAMS = [
  {
    name: 'mt-peerd',
    bin: 'daemon/bin/mt-peerd.cjs',
    summary: 'the peer daemon of mini-torrent: shares and fetches files for one user',
  },
  { name: 'mt-trackerd', bin: 'cluster/bin/mt-trackerd.cjs', summary: 'one tracker of a mini-torrent cluster' },
];

if (process.argv[2] === 'faq') writeFaq();
else await writePages();

function writeFaq(): void {
  const path = join(ROOT, 'FAQ.md');
  const [begin] = readFileSync(path, 'utf8').split('## Exit 1\n');
  writeFileSync(path, `${begin}${faqSections()}`);
}

async function writePages(): Promise<void> {
  const pages = await mtPages();
  for (const { name, bin, summary } of PROGRAMS) {
    const help = execFileSync(process.execPath, [join(ROOT, bin), '--help'], { encoding: 'utf8' });
    pages.push(programPage(name, summary, help));
  }
  mkdirSync(FOLDER, { recursive: true });
  for (const old of readdirSync(FOLDER)) if (!pages.some(({ file }) => file === old)) rmSync(join(FOLDER, old));
  for (const { file, text } of pages) writeFileSync(join(FOLDER, file), text);
}
