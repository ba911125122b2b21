/** What README and OPERATIONS tell people to type: it is taken by the command line, and what can run here is run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseCommandLine } from '../../cli/command-line.ts';
import type { Command } from '../../cli/command.ts';
import { MAIN, seawallJson } from '../cli/seawall.ts';
import { Scratch } from '../history/scratch.ts';
import { start, type Run } from './run.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENTS = ['README.md', 'docs/OPERATIONS.md', 'examples/README.md', 'examples/github-actions/README.md'];

function text(document: string): string {
  return readFileSync(join(ROOT, document), 'utf8');
}

/** The code below a heading, by its language. */
function code(document: string, heading: string, language: string): string[] {
  const [, section] = text(document).split(new RegExp(`^## ${heading}$`, 'm'));
  assert.ok(section !== undefined, `${document} has a heading ${heading}`);
  const body = section.split(/^## /m)[0]!;
  return [...body.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, lines]) => lines!);
}

const sqlite3 = spawnSync('sqlite3', ['--version']).status === 0;

/** Words of a shell's line, as far as the documents use them; up to what is not of the command any more. */
function wordsOf(line: string): string[] {
  const [command = ''] = line.split(/ (?:#|&&|\|)(?= |$)/);
  return [...command.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, plain]) => single ?? double ?? plain!,
  );
}

describe('every seawall line of the documents is one that the command line takes', () => {
  for (const document of DOCUMENTS.slice(0, 2)) {
    test(document, async () => {
      const fenced = [...text(document).matchAll(/^```(?:sh|ini)\n([^]*?)^```/gm)].flatMap(([, lines]) =>
        lines!.split('\n'),
      );
      // Other mentions, such as `seawall list`, are no lines to type.
      const inline = [...text(document).matchAll(/`((?:npx |node_modules\/\.bin\/)[^`\n]+)`/g)].map(
        ([, words]) => words!,
      );
      let lines = 0;
      for (const line of [...fenced, ...inline]) {
        const [, invocation] = /(?:npx |node_modules\/\.bin\/|^)seawall(?:\.js)? ([a-z]+ .+)$/.exec(line) ?? [];
        if (invocation === undefined || invocation.includes('<replica>')) continue;
        const [name = '', ...args] = wordsOf(invocation);
        const module = (await import(`../../cli/commands/${name}.ts`)) as Readonly<Record<string, Command>>;
        assert.doesNotThrow(() => parseCommandLine(module[`${name}Command`]!, args), line);
        lines++;
      }
      assert.ok(lines >= 7, `${lines} lines found`);
    });
  }
});

test('ARCHITECTURE has a row for every room that the linter knows, from the roof down', async () => {
  const linter: string = new URL('../../.dependency-cruiser.mjs', import.meta.url).href;
  const { default: rules } = (await import(linter)) as {
    readonly default: { readonly forbidden: readonly { readonly name: string; readonly from: { path?: string } }[] };
  };
  for (const house of ['replica', 'shipper/helper']) {
    const rooms = rules.forbidden
      .filter(({ name, from }) => name.startsWith(`${house}/`) && from.path === `^${name}/`)
      .map(({ name }) => name);
    assert.ok(rooms.length > 5, `${rooms.length} rooms found`);
    const rows = [...text('docs/ARCHITECTURE.md').matchAll(/^\| (\d+) +\| `([a-z/-]+)\/` /gm)]
      .filter(([, , room]) => room!.startsWith(`${house}/`))
      .map(([, floor, room]) => ({ floor: Number(floor), room: room! }));
    const upwards = rows.toReversed().toSorted((one, other) => one.floor - other.floor);
    assert.deepEqual(rows, upwards.toReversed(), 'rows descend');
    assert.deepEqual(upwards.map(({ room }) => room).toSorted(), rooms.toSorted());
    const height = new Map(rows.map(({ floor, room }) => [room, floor]));
    for (const [i, room] of rooms.slice(1).entries()) {
      const step = height.get(room)! - height.get(rooms[i]!)!;
      assert.ok(step === 0 || step === 1, `${room} is a floor too high or too low`);
    }
  }
});

test('links between the documents lead somewhere', () => {
  const anchors = (document: string): Set<string> =>
    new Set(
      [...text(document).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
        heading!
          .toLowerCase()
          .replace(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
  let links = 0;
  const written = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  for (const document of new Set([
    ...DOCUMENTS,
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    ...written.map((name) => `docs/${name}`),
  ])) {
    for (const [, target = ''] of text(document).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      links++;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(ROOT, file)), `${document}: ${target}`);
      if (anchor !== undefined) assert.ok(anchors(file).has(anchor), `${document}: ${target}`);
    }
  }
  assert.ok(links > 20, `${links} links found`);
});

describe('as a stranger types it, with a folder for the bucket', { skip: sqlite3 ? false : 'no sqlite3 here' }, () => {
  const scratch = new Scratch();
  /** What the app committed first, and what came after. */
  let moment: string;

  /** Runs lines of a document; services are stopped and started by nobody, and all moments are the one that is there. */
  async function shell(lines: string): Promise<Run> {
    const given = lines
      .replaceAll(/'?s3:\/\/my-bucket\/app(\?region=[\w-]+)?'?/g, 'backups/app')
      .replaceAll(/2026-11-22T\d\d:\d\d:\d\dZ/g, moment);
    const prelude = `
      npx() { shift; '${process.execPath}' '${MAIN}' "$@"; }
      sudo() { test "$1" = systemctl; }
    `;
    return start('bash', ['-e', '-o', 'pipefail', '-c', prelude + given], scratch.path).ended;
  }

  function rows(path: string): unknown[] {
    const db = new DatabaseSync(join(scratch.path, path));
    const found = db
      .prepare('SELECT a FROM t')
      .all()
      .map(({ a }) => a);
    db.close();
    return found;
  }

  before(async () => {
    const [quickStart = ''] = code('README.md', 'In your app', 'ts');
    const given = quickStart
      .replace("'s3://my-bucket/app?region=eu-central-1'", "'backups/app'")
      .replace('// …', "db.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)');")
      .replace('// …', "console.log(new Date().toISOString()); await new Promise((end) => setTimeout(end, 1500)); db.exec('INSERT INTO t VALUES (2)'); await shipper.sync();"); // prettier-ignore
    assert.equal(given.split('db.exec').length, 3);
    mkdirSync(join(scratch.path, 'data'));
    mkdirSync(join(scratch.path, 'node_modules', '.bin'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', 'better-sqlite3'), join(scratch.path, 'node_modules', 'better-sqlite3'));
    writeFileSync(
      join(scratch.path, 'node_modules', '.bin', 'seawall'),
      `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`,
      { mode: 0o755 },
    );
    writeFileSync(join(scratch.path, 'app.mts'), given);
    const hook = new URL('./from-source.ts', import.meta.url).href;
    const { code: exit, out, err } = await start(process.execPath, ['--import', hook, 'app.mts'], scratch.path).ended;
    assert.equal(exit, 0, err);
    moment = out.trim();
    return () => {
      scratch[Symbol.dispose]();
    };
  });

  test('README: in your app, and bringing it back', async () => {
    assert.deepEqual(rows('data/app.db'), [1, 2]);
    const [lines = ''] = code('README.md', 'Bringing it back', 'sh');
    const { code: exit, err } = await shell(lines);
    assert.equal(exit, 0, err);
    assert.deepEqual([rows('app.db'), rows('before.db')], [[1, 2], [1]]);
  });

  test('the drill, and the search for the last sound moment', async () => {
    const [drill = ''] = code('docs/OPERATIONS.md', 'Restore drill', 'sh');
    const drilled = await shell(drill);
    assert.equal(drilled.code, 0, drilled.err);
    assert.match(drilled.out, /^ok$/m);
    assert.ok(!existsSync(join(scratch.path, 'drill.db')));
    const [search = ''] = code('docs/OPERATIONS.md', 'The app corrupted its database', 'sh');
    const { code: exit, out, err } = await shell(search);
    assert.equal(exit, 0, err);
    assert.equal(out.split('\n').filter((line) => line === `${moment} ok`).length, 3);
  });

  test('without AWS: maintained, verified, watched', async () => {
    const [lines = ''] = code('docs/OPERATIONS.md', 'Without AWS', 'sh');
    const once = lines.split('\n').filter((line) => !line.includes('endpoint='));
    assert.equal(once.filter((line) => line !== '').length, 3);
    const { code: exit, err } = await shell(once.join('\n'));
    assert.equal(exit, 0, err);
  });

  test('a bad deploy is rolled back, and what it wrote is kept', async () => {
    const [lines = ''] = code('docs/OPERATIONS.md', 'Roll back a bad deploy', 'sh');
    const { code: exit, err } = await shell(lines);
    assert.equal(exit, 0, err);
    assert.deepEqual([rows('data/app.db'), rows('data/app-bad.db')], [[1], [1, 2]]);
    await seawallJson(['verify', 'backups/app'], 0, { cwd: scratch.path });
  });
});
