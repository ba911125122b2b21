/**
 * Bundles functions/<name>/handler.ts into dist/functions/<name>/index.mjs, on any machine and without Docker:
 * `npm run build:functions`. Everything is in that one file, the SDK and the WebAssembly codec included; SQLite is the
 * runtime's own. Therefore the same file runs on every machine, Lambda's arm64 and the one that made it.
 *
 * ES modules, because replica/image/ looks by `import.meta.url` for the module of its threads beside its own file, and
 * a CommonJS bundle has no `import.meta.url`. No such module is beside a bundle, so it starts no threads. The CommonJS
 * packages in the bundle get a `require` for Node's own modules.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const PACKAGE = join(import.meta.dirname, '..');
const ENTRY = 'index.mjs';

export interface BundleOptions {
  /** Folder that gets one folder for each function. */
  readonly out?: string;
  /** Folder with one folder for each function, in which handler.ts exports `handler`. */
  readonly from?: string;
  /** Only these functions. */
  readonly only?: readonly string[];
}

export interface Bundle {
  readonly name: string;
  readonly folder: string;
  /** Bytes. */
  readonly size: number;
}

/** Bundles the functions in `from`, and replaces the contents of their output folders. */
export async function bundleFunctions(options: BundleOptions = {}): Promise<Bundle[]> {
  const { out = join(PACKAGE, 'dist', 'functions'), from = join(PACKAGE, 'functions'), only } = options;
  const folders = await readdir(from, { withFileTypes: true });
  const names = folders
    .filter((entry) => entry.isDirectory() && existsSync(join(from, entry.name, 'handler.ts')))
    .map(({ name }) => name)
    .filter((name) => only?.includes(name) ?? true);
  const bundles: Bundle[] = [];
  for (const name of names.toSorted()) {
    const folder = join(out, name);
    await rm(folder, { recursive: true, force: true });
    await bundle(join(from, name, 'handler.ts'), folder);
    bundles.push({ name, folder, size: (await stat(join(folder, ENTRY))).size });
  }
  return bundles;
}

async function bundle(entry: string, folder: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile: join(folder, ENTRY),
    absWorkingDir: PACKAGE,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Names stay readable in stack traces; without source maps, which would double the package.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    mainFields: ['module', 'main'],
    loader: { '.wasm': 'binary' },
    banner: {
      js: `import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);`,
    },
    plugins: [inlineCodec],
    logLevel: 'warning',
  });
}

/** The LZ4 codec reads its WebAssembly from a file beside it; in a bundle, its bytes are part of the code. */
const inlineCodec: Plugin = {
  name: 'inline-codec',
  setup(builder) {
    builder.onLoad({ filter: /[\\/]lz4_wasm_nodejs\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8');
      const reads =
        /const path = require\('path'\)\.join\(__dirname, '([^']+)'\);\s*const bytes = require\('fs'\)\.readFileSync\(path\);/;
      if (!reads.test(code))
        throw new Error(`${path} reads its WebAssembly in a new way: adapt infra/bundle-functions.ts`);
      return { contents: code.replace(reads, `const bytes = require('./$1');`), loader: 'js' };
    });
  },
};

if (import.meta.main) {
  const bundles = await bundleFunctions();
  if (bundles.length === 0) process.stderr.write('no functions found: functions/<name>/handler.ts\n');
  for (const { name, size } of bundles) process.stdout.write(`${name}: ${(size / 1024).toFixed(0)} KiB\n`);
}
