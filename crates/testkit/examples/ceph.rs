//! `ceph LOCKED PLAIN`: a Ceph for benchmarks, with a bucket that has Object Lock and one that keeps
//! no versions. It prints one line, its endpoint and the two keys of the account that rules both, and
//! ends with its standard input: so it never outlives whoever started it.

use std::error::Error;
use std::io::{self, Write};

use strongroom_testkit::{Bucket, Ceph};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: ceph LOCKED PLAIN");
    let (locked, plain) = (next()?, next()?);
    let ceph = Ceph::start();
    let account = ceph.new_account("bench");
    Bucket::new(&ceph, &account, &locked).create_locked();
    Bucket::new(&ceph, &account, &plain).create();
    let mut output = io::stdout();
    writeln!(
        output,
        "{} {} {}",
        ceph.endpoint(),
        account.access_key,
        account.secret_key
    )?;
    output.flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
