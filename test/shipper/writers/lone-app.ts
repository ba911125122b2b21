/** An app that does nothing but start its shipper, and says that it did, or with what code it failed: lone-app.ts <database> <replica> */
import { SeawallError, Shipper } from '../../../shipper/index.ts';

process.channel?.unref();
const [database = '', replica = ''] = process.argv.slice(2);
try {
  await new Shipper({ database, replica }).start();
  process.send?.('started');
} catch (error) {
  process.send?.(error instanceof SeawallError ? error.code : String(error));
}
