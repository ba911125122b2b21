/** Finds the functions' code. It was bundled when this package was built, so deploying needs no bundler. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Code } from 'aws-cdk-lib/aws-lambda';
import type { FunctionName } from './props.ts';

/** The file that holds `handler`, in each function's folder. */
export const ENTRY = 'index.mjs';

/** Folders that may hold the bundles: beside this folder in the package, below dist/ in a clone. */
const PLACES = [join(import.meta.dirname, '..', 'functions'), join(import.meta.dirname, '..', 'dist', 'functions')];

/** The bundle of one function. Throws an Error that says how to make it if it is missing. */
export function bundledCode(name: FunctionName, places: readonly string[] = PLACES): Code {
  const folder = places.map((place) => join(place, name)).find((place) => existsSync(join(place, ENTRY)));
  if (folder !== undefined) return Code.fromAsset(folder);
  throw new Error(
    `the code of the function ${name} is in none of ${places.join(', ')}. ` +
      `In a clone of seawall, run: npm run build:functions. In an app, install the package again, or give code.${name}.`,
  );
}
