// What may import what: imports point down, and never in a circle. docs/ARCHITECTURE.md has the picture.

/** The floors of replica/, from the ground up. A room may import rooms of lower floors, and of its own where one line names both. */
const FLOORS = [
  ['terms'],
  ['runtime'],
  ['wal', 'store'],
  ['format'],
  ['objects', 'ltx'],
  ['catalogue'],
  ['plan', 'retention'],
  ['image'],
  ['restore'],
  ['compaction', 'takeover'],
  ['verification'],
];
/** The floors of shipper/helper/. Files beside the rooms (main.ts, shipment.ts) put them together and may import all. */
const HELPER_FLOORS = [['sharing'], ['database'], ['capture'], ['snapshot', 'upload'], ['beginning'], ['replication']];

const forbid = (name, from, to, comment) => ({ name, severity: 'error', comment, from, to });

/** One rule for each room: it imports no room above it, none beside it, and not the files that put rooms together. */
const rooms = (house, floors) =>
  floors.flatMap((floor, height) =>
    floor.map((room) => {
      const others = floors
        .slice(height)
        .flat()
        .filter((other) => other !== room);
      const paths = [
        ...others.map((other) => `^${house}/${other}/`),
        ...(house === 'replica' ? ['^replica/index[.]ts$'] : []),
      ];
      return forbid(
        `${house}/${room}`,
        { path: `^${house}/${room}/` },
        { path: paths.length === 0 ? ['^$'] : paths },
        'imports point down: a room imports only rooms of lower floors',
      );
    }),
  );

const known = (house, floors) =>
  forbid(
    `${house}-known`,
    { path: `^${house}/` },
    { path: `^${house}/[^/]+/`, pathNot: floors.flat().map((room) => `^${house}/${room}/`) },
    'a room without a floor: name it in .dependency-cruiser.mjs and in docs/ARCHITECTURE.md',
  );

export default {
  forbidden: [
    forbid('no-circles', {}, { circular: true }, 'two files that import each other are one file, or lack a third'),
    forbid(
      'no-orphans',
      { orphan: true, path: '^(replica|shipper|cli|functions|infra|testing)/.*[.]ts$' },
      {},
      'nobody imports it',
    ),
    forbid('resolvable', {}, { couldNotResolve: true, pathNot: '^aws-lambda$' }, 'there is no such file or package'),
    forbid('replica', { path: '^replica/' }, { path: '^(shipper|functions|infra|cli|testing|test|bench|examples)/' }),
    forbid('replica-opens-no-database', { path: '^replica/' }, { path: '(better-sqlite3|aws-cdk-lib)' }),
    forbid('shipper', { path: '^shipper/' }, { path: '^(functions|infra|cli|testing|test|bench|examples)/' }),
    forbid('functions', { path: '^functions/' }, { path: '^(shipper|infra|cli|testing|test|bench|examples)/' }),
    forbid(
      'infra',
      { path: '^infra/' },
      {
        path: '^(replica|shipper|functions|cli|testing|test|bench|examples)/',
        pathNot: '^replica/runtime/require-node[.]ts$',
      },
    ),
    forbid('cli', { path: '^cli/' }, { path: '^(functions|infra|testing|test|bench|examples)/' }),
    forbid('testing', { path: '^testing/' }, { path: '^(shipper|functions|infra|cli|test|bench|examples)/' }),
    forbid(
      'cli-rooms',
      { path: '^cli/(report|lambda|terminal)/' },
      { path: '^cli/commands/' },
      'commands stand on reports, not the other way round',
    ),
    forbid(
      'app-not-helper',
      { path: '^shipper/[^/]+[.]ts$' },
      { path: '^shipper/helper/' },
      'the app never loads what the helper process is made of',
    ),
    known('replica', FLOORS),
    ...rooms('replica', FLOORS),
    known('shipper/helper', HELPER_FLOORS),
    ...rooms('shipper/helper', HELPER_FLOORS),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js', '.mjs'],
    },
  },
};
