/**
 * `seawall/testing`: for the tests of your own code. The contract of stores, as tests that any store can be held to.
 *
 * @module seawall/testing
 */
import '../replica/runtime/require-node.ts';

export { storeConformance, type StoreConformanceOptions } from './store-conformance.ts';
