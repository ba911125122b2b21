/**
 * `zlib.crc32` under a name that every Node.js can link. A Node.js before 20.15 has no such export, and a named import
 * of it would be a SyntaxError before require-node.ts can say what is wrong.
 */
import * as zlib from 'node:zlib';

export const { crc32 } = zlib;
