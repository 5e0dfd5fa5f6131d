//! What PostgreSQL takes when a person writes the best statements by hand, with a watermark in each transaction.
//! It must never leave out what Landfall does in the same cell: each batch is one transaction and moves its watermark.

use anyhow::Result;
use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;

use super::cell::{Cell, Method, Place};
use super::raw_client::{RawClient, array, bound, field, plain};
use super::work::{Click, Item, Landing, Timed, timed};

const INT8: u32 = 20;
const TEXT: u32 = 25;
const TIMESTAMP: u32 = 1114;
const UUID: u32 = 2950;

const UPSERT: &str = "INSERT INTO item (id, name, kind, price, stock, changed) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamp[]) \
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, price = excluded.price, \
    stock = excluded.stock, changed = excluded.changed";
const UPDATE: &str = "UPDATE item AS t SET name = i.b, kind = i.c, price = i.d, stock = i.e, changed = i.f \
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamp[]) AS i(a, b, c, d, e, f) \
    WHERE t.id = i.a";
const FROM_COPIED: &str = "INSERT INTO item SELECT * FROM copied \
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, price = excluded.price, \
    stock = excluded.stock, changed = excluded.changed";
const APPEND: &str = "INSERT INTO click (request_id, url, user_id) \
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[]) ON CONFLICT (request_id) DO NOTHING";
const MOVE: &str = "UPDATE mark SET position = position + 1 WHERE lane = $1::bigint";

/// Lands the batches of a cell.
pub(super) fn run(place: &Place, cell: &Cell) -> Result<Timed> {
    timed(cell.connections, cell.seconds, |connection| {
        let mut client = RawClient::connect(&place.folder, place.port, &place.user, &place.database)?;
        client.prepare("move", MOVE)?;
        match cell.method {
            Method::RawUpsert => client.prepare("land", UPSERT)?,
            Method::RawUpdate => client.prepare("land", UPDATE)?,
            Method::RawCopyUpsert => {
                client.script("CREATE TEMP TABLE copied (LIKE item)")?;
                client.prepare("land", FROM_COPIED)?;
            }
            Method::RawAppend => client.prepare("land", APPEND)?,
            _ => {}
        }
        let batches = Batches::of(cell, connection);
        let count = batches.len();
        let (method, lane) = (cell.method, i64::from(connection));
        let land: Landing<'static> = Box::new(move |batch| {
            let mut out = BytesMut::with_capacity(1 << 20);
            let (ends, rows) = transaction(method, lane, &batches, batch, &mut out)?;
            client.exchange(&out, ends)?;
            Ok(rows)
        });
        Ok((count, land))
    })
}

/// The rows of a connection, as batches.
enum Batches {
    Items(Vec<Vec<Item>>),
    Clicks(Vec<Vec<Click>>),
}

impl Batches {
    fn of(cell: &Cell, connection: u32) -> Batches {
        match cell.method.is_append() {
            true => Batches::Clicks(cell.clicks(connection)),
            false => Batches::Items(cell.items(connection)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Batches::Items(batches) => batches.len(),
            Batches::Clicks(batches) => batches.len(),
        }
    }
}

/// One transaction in one write; how many answers end it, and its rows.
fn transaction(
    method: Method,
    lane: i64,
    batches: &Batches,
    at: usize,
    out: &mut BytesMut,
) -> Result<(usize, u64)> {
    let mut number = BytesMut::new();
    number.put_i64(lane);
    plain("BEGIN", out)?;
    bound("move", &[number], out)?;
    let rows = match batches {
        Batches::Items(batches) => {
            let items = &batches[at];
            if method == Method::RawCopyUpsert {
                plain("TRUNCATE copied", out)?;
                frontend::sync(out);
                copy_items(items, out)?;
                bound("land", &[], out)?;
                plain("COMMIT", out)?;
                frontend::sync(out);
                return Ok((3, items.len() as u64));
            }
            bound("land", &items_arrays(items), out)?;
            items.len()
        }
        Batches::Clicks(batches) => {
            let clicks = &batches[at];
            if method == Method::RawCopy {
                frontend::sync(out);
                copy_clicks(clicks, out)?;
                plain("COMMIT", out)?;
                frontend::sync(out);
                return Ok((3, clicks.len() as u64));
            }
            bound("land", &clicks_arrays(clicks), out)?;
            clicks.len()
        }
    };
    plain("COMMIT", out)?;
    frontend::sync(out);
    Ok((1, rows as u64))
}

fn items_arrays(items: &[Item]) -> Vec<BytesMut> {
    vec![
        array(INT8, items.iter(), |item, out| out.put_i64(item.id)),
        array(TEXT, items.iter(), |item, out| out.put_slice(item.name.as_bytes())),
        array(TEXT, items.iter(), |item, out| out.put_slice(item.kind.as_bytes())),
        array(INT8, items.iter(), |item, out| out.put_i64(item.price)),
        array(INT8, items.iter(), |item, out| out.put_i64(item.stock)),
        array(TIMESTAMP, items.iter(), |item, out| out.put_i64(item.micros())),
    ]
}

fn clicks_arrays(clicks: &[Click]) -> Vec<BytesMut> {
    vec![
        array(UUID, clicks.iter(), |click, out| out.put_slice(&click.request)),
        array(TEXT, clicks.iter(), |click, out| out.put_slice(click.url.as_bytes())),
        array(INT8, clicks.iter(), |click, out| out.put_i64(click.user)),
    ]
}

fn copy_items(items: &[Item], out: &mut BytesMut) -> Result<()> {
    frontend::query("COPY copied FROM STDIN (FORMAT binary)", out)?;
    copied(out, items, |item, out| {
        out.put_i16(6);
        field(out, |out| out.put_i64(item.id));
        field(out, |out| out.put_slice(item.name.as_bytes()));
        field(out, |out| out.put_slice(item.kind.as_bytes()));
        field(out, |out| out.put_i64(item.price));
        field(out, |out| out.put_i64(item.stock));
        field(out, |out| out.put_i64(item.micros()));
    });
    Ok(())
}

fn copy_clicks(clicks: &[Click], out: &mut BytesMut) -> Result<()> {
    frontend::query("COPY click (request_id, url, user_id) FROM STDIN (FORMAT binary)", out)?;
    copied(out, clicks, |click, out| {
        out.put_i16(3);
        field(out, |out| out.put_slice(&click.request));
        field(out, |out| out.put_slice(click.url.as_bytes()));
        field(out, |out| out.put_i64(click.user));
    });
    Ok(())
}

/// The data of a COPY in one message, and its end.
fn copied<T>(out: &mut BytesMut, rows: &[T], write: impl Fn(&T, &mut BytesMut)) {
    out.put_u8(b'd');
    let at = out.len();
    out.put_i32(0);
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_i32(0);
    out.put_i32(0);
    rows.iter().for_each(|row| write(row, out));
    out.put_i16(-1);
    let length = i32::try_from(out.len() - at).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    frontend::copy_done(out);
}
