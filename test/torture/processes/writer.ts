/**
 * Carries out a script (see ../steps.ts) that comes on stdin, one step a line, with a library of JavaScript's.
 *
 * Usage: writer.ts <database> <better-sqlite3|node:sqlite>
 */
import { carryOut, scripted } from './scripted.ts';

const [path = '', library = ''] = process.argv.slice(2);
await carryOut(path, library, scripted(process.stdin));
