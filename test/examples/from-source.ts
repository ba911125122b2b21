/** Preloaded with `--import`: lets `seawall` name the sources of this repository instead of what was built of them. */
import { registerHooks } from 'node:module';

const SOURCES: Readonly<Record<string, string>> = {
  seawall: '../../shipper/index.ts',
  'seawall/replica': '../../replica/index.ts',
  'seawall/testing': '../../testing/index.ts',
  'seawall/infra': '../../infra/index.ts',
};

registerHooks({
  resolve(specifier, context, next) {
    const source = SOURCES[specifier];
    return next(source === undefined ? specifier : new URL(source, import.meta.url).href, context);
  },
});
