/** An app that does nothing but start its shipper, and says with what code that failed: lone-app.ts <database> <replica> */
import { SeawallError, Shipper } from '../../../shipper/index.ts';

process.channel?.unref();
const [database = '', replica = ''] = process.argv.slice(2);
try {
  await new Shipper({ database, replica }).start();
} catch (error) {
  process.send?.(error instanceof SeawallError ? error.code : String(error));
}
