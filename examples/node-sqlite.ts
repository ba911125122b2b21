/**
 * An app on node:sqlite with a backup. Run it twice, delete notes.db, run it again: the notes are still there.
 *
 *     node examples/node-sqlite.ts notes.db ./bucket/notes
 *     node examples/node-sqlite.ts notes.db 's3://my-bucket/notes?region=eu-central-1'
 */
import { DatabaseSync } from 'node:sqlite';
import { Shipper } from 'seawall';

const [database = 'notes.db', replica = './bucket/notes'] = process.argv.slice(2);

const shipper = new Shipper({ database, replica, restore: 'if-missing' });
shipper.on('problem', ({ error }) => {
  console.error(error.message);
});
await shipper.start(); // before the database is opened, since it may have to be restored first

const db = new DatabaseSync(database);
db.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, at TEXT NOT NULL, text TEXT NOT NULL)');
const insert = db.prepare('INSERT INTO notes (at, text) VALUES (?, ?)');
for (const text of ['low tide at six', 'the gate was closed', 'high water, all dry']) {
  insert.run(new Date().toISOString(), text);
}
console.log(`${Number(db.prepare('SELECT count(*) AS notes FROM notes').get()?.['notes'])} notes`);

// Commits are shipped within a second. Wait only if a commit must not be lost, whatever happens next.
const { position } = await shipper.sync();
console.log(`safe in ${replica} at ${position}`);

db.close();
await shipper.stop();
