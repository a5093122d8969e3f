import config from './playwright.config.ts';

// Pictures, not tests.
export default { ...config, projects: undefined, testMatch: ['shots.ts', 'report_shots.ts'] };
