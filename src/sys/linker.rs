//! A function of the caller's that makes hard links in place of link(2).

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

type Link = dyn Fn(&Path, &Path) -> io::Result<()> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Linker(Arc<Link>);

impl Linker {
    pub(crate) fn new(
        link: impl Fn(&Path, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Linker {
        Linker(Arc::new(link))
    }

    pub(super) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.0)(from, to)
    }
}

impl fmt::Debug for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Linker")
    }
}
