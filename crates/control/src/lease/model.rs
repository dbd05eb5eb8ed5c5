//! The election, explored: every interleaving of candidates, requests, answers and clocks.
