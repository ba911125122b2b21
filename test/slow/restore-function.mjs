// Runs the restore function's handler on the request given as JSON, and prints its answer and the memory it took.
// node restore-function.mjs <handler module> <request>
const [module, request] = process.argv.slice(2);
const { handler } = await import(module);
const end = performance.now() + 900_000;
const context = {
  functionName: 'restore',
  awsRequestId: 'test',
  getRemainingTimeInMillis: () => end - performance.now(),
};
const answer = await handler(JSON.parse(request), context);
console.log(JSON.stringify({ answer, rss: process.resourceUsage().maxRSS * 1024 }));
process.exit(0);
