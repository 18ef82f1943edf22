//! The repository itself: which code may use which, where links lead, and which words are not used.
//! Nothing here runs the library, and the package on crates.io is without it.

mod commands;
mod layers;
mod links;
mod modules;
mod repository;
mod system;
mod words;
