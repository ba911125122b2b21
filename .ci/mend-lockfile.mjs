// Run as `npm run lock` after dependencies changed. npm writes the lockfile without better-sqlite3's own
// `gypfile: false`, and then compiles it on `npm ci`, which fails on a machine without Python, make and a C++ compiler.
import { readFileSync, writeFileSync } from 'node:fs';

const name = 'package-lock.json';
const lock = JSON.parse(readFileSync(name, 'utf8'));
lock.packages['node_modules/better-sqlite3'].gypfile = false;
writeFileSync(name, `${JSON.stringify(lock, null, 2)}\n`);
