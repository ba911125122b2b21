/**
 * Imported first by every entry point: an old Node.js gets one clear line instead of a crash in native code.
 *
 * All modules of an entry point are linked before this one runs. So none of them imports by name what an old Node.js
 * lacks: the linter has the list.
 */
const LEAST = [22, 15] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])) {
  throw new Error(
    `seawall needs Node.js ${LEAST.join('.')} or newer; this is ${process.versions.node}. Install a newer one.`,
  );
}

export {};
