/** The restore function, which people, runbooks and CI invoke. */
import { Construct } from 'constructs';
import { Databases, RESTORES } from './object-access.ts';
import type { Settings } from './settings.ts';
import { Worker, type FunctionContext } from './worker.ts';

export class Restore extends Construct {
  readonly worker: Worker;

  constructor(scope: Construct, id: string, workplace: FunctionContext, settings: Settings['restore']) {
    super(scope, id);
    const databases = new Databases(workplace.bucket, workplace.root);
    this.worker = new Worker(this, 'Restore', workplace, {
      name: 'restore',
      description: 'Brings a database back as a file in the bucket, proven by its checksum',
      settings,
      disk: settings.disk,
      environment: { SEAWALL_RESTORES_PREFIX: RESTORES },
      permissions: [databases.list(`${RESTORES}*`), databases.read(), databases.restores()],
    });
  }
}
