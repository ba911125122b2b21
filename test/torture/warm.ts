/** Loads all that the processes of the rack load, so that Node’s compile cache knows it, and ends. */
await Promise.all([
  import('../../shipper/helper/main.ts'),
  import('../../shipper/index.ts'),
  import('../../replica/store/s3/store.ts'),
  import('../../functions/compact/compact-databases.ts'),
  import('../../functions/retain/retain-database.ts'),
  import('../functions/stage.ts'),
  import('../shipper/writers/library.ts'),
  import('better-sqlite3'),
]);
process.exit(0);
