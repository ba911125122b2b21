/** For the tests of your own code: the contract of stores, as tests that any store can be held to. */
export { storeConformance, type StoreConformanceOptions } from './store-conformance.ts';
