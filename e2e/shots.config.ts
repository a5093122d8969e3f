import config from './playwright.config.ts';

// Pictures, not tests.
export default { ...config, testMatch: ['shots.ts', 'report_shots.ts'] };
